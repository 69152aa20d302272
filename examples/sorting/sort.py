"""A merge sort that sorts short pieces by insertion."""

CUTOFF = 400


def sort(values):
    if len(values) <= CUTOFF:
        return insertion(values)
    middle = len(values) // 2
    return merge(sort(values[:middle]), sort(values[middle:]))


def insertion(values):
    values = list(values)
    for i in range(1, len(values)):
        value, j = values[i], i
        while j and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value
    return values


def merge(a, b):
    merged, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if a[i] <= b[j]:
            merged.append(a[i])
            i += 1
        else:
            merged.append(b[j])
            j += 1
    return merged + a[i:] + b[j:]
