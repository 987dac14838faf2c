"""Writes tests/golden/tensorboard/: an event file by TensorBoard's own writer and protocol buffers.

Run: python reference/tensorboard_golden.py (needs tensorboard; made with the versions that it prints into events.json).
"""

import json
import pathlib
import platform

import google.protobuf
import tensorboard
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

out = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "tensorboard"
out.mkdir(parents=True, exist_ok=True)

PNG = bytes(range(200))
TIME = 1767312000.25  # 2026-01-02T00:00:00.250Z


def summary(*values):
    return summary_pb2.Summary(value=values)


value = summary_pb2.Summary.Value
image = summary_pb2.Summary.Image(height=32, width=300, colorspace=3, encoded_image_string=PNG)
events = [
    event_pb2.Event(wall_time=TIME, file_version="brain.Event:2"),
    event_pb2.Event(wall_time=TIME, step=7, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START)),
    event_pb2.Event(
        wall_time=TIME,
        step=7,
        summary=summary(value(tag="loss/policy", simple_value=0.1), value(tag="reward ∇", simple_value=-0.0)),
    ),
    event_pb2.Event(wall_time=TIME, step=2**40 + 300, summary=summary(value(tag="samples", image=image))),
]
with open(out / "events.bin", "wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
    writer.flush()
versions = {
    "tensorboard": tensorboard.__version__,
    "protobuf": google.protobuf.__version__,
    "python": platform.python_version(),
}
(out / "events.json").write_text(json.dumps({"made_by": "reference/tensorboard_golden.py", **versions}) + "\n")
