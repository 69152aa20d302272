"""The variant's side of the scorer: loads the model that a run has left, and answers token rows with logits.

    python -I server.py MODEL        in a folder that holds the variant's code

It runs the variant's code, so it is confined, sees no text and no target, and is believed in nothing but its logits.
On standard input it gets requests, on standard output it writes answers:

    request   int32 rows, int32 tokens a row, then rows x tokens int32      answer   int32 1, int32 rows, int32 tokens,
                                                                            int32 vocabulary, then float32 logits
                                                            or, on an error   int32 0, int32 bytes, then UTF-8 text
"""

import os
import struct
import sys
from typing import Any, BinaryIO

LONGEST_ERROR = 500


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # text that the variant prints must not reach the feeder
    requests = os.fdopen(os.dup(0), "rb")
    sys.path.insert(0, os.getcwd())
    try:
        model = load(sys.argv[1])
        answers.write(struct.pack("<ii", 1, 0))
        answers.flush()
        while serve(model, requests, answers):
            pass
    except Exception as error:
        text = f"{type(error).__name__}: {error}".encode()[:LONGEST_ERROR]
        answers.write(struct.pack("<ii", 0, len(text)) + text)
        answers.flush()


def load(path: str) -> Any:
    """Return the model that the run left, by the `load_model` of its train.py."""
    import train

    return train.load_model(path)


def serve(model: Any, requests: BinaryIO, answers: BinaryIO) -> bool:
    """Answer one request. Returns False where there is none left."""
    import torch

    head = requests.read(8)
    if len(head) < 8:
        return False
    rows, length = struct.unpack("<ii", head)
    data = bytearray(requests.read(4 * rows * length))
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    tokens = torch.frombuffer(data, dtype=torch.int32).view(rows, length).to(device, torch.int64)
    with torch.no_grad():
        logits = model(tokens).float().cpu().contiguous()
    shape = (*logits.shape, 0, 0, 0)[:3]
    answers.write(struct.pack("<iiii", 1, *shape))
    answers.write(memoryview(logits.numpy()).cast("B"))
    answers.flush()
    return True


if __name__ == "__main__":
    main()
