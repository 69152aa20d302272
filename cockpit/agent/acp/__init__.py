"""Agents that the worker starts, by the Agent Client Protocol: the process, its turns, its permissions."""
