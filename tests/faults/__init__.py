"""Faults that the project makes itself: kills, locks, damage, floods, and everything that is read from outside."""
