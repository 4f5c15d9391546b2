"""My network: a model file, or the digits trained in the page; what it says of a picture, and why."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
from pydantic import Field

from deepconv.arrays import Array
from deepconv.data.preprocessing import preprocess
from deepconv.layers import Layer
from deepconv.layers.inspection import heat_map
from deepconv.layers.receptive import receptive_window
from deepconv.layers.summary import summarise
from deepconv.layers.tracing import trace
from deepconv.models.digits import digits_network
from deepconv.predict import Classifier, load_classifier
from deepconv.studio.rooms.activation import made
from deepconv.studio.rooms.numbers import to_page
from deepconv.studio.rooms.runs import Run, least_loss, start, waiting
from deepconv.studio.rooms.uploads import read_model, read_upload
from deepconv.studio.session import Answer, Session, method

__all__ = ["control", "load", "see", "state", "train", "unit"]

_MAPS = 64  # activations of a layer that are shown
_SIDE = 96  # pixels of a side of one


@dataclass
class _Room:
    """What one page has here."""

    classifier: Classifier | None = None
    name: str = ""
    seen: Array | None = None  # the last picture, prepared: (1, C, H, W)
    run: Run | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def _room(session: Session) -> _Room:
    if "network" not in session.state:
        room = _Room()
        session.state["network"] = room
        if session.state.get("model") is not None:
            found = load_classifier(session.state["model"])
            session.keep("model", _size(found.model))
            room.classifier, room.name = found, Path(session.state["model"]).name
        session.closing.append(lambda: room.run.stop() if room.run else None)
    return cast("_Room", session.state["network"])


def _size(model: Layer) -> int:
    return sum(value.nbytes for value in model.state().values())


def _classifier(session: Session) -> Classifier:
    found = _room(session).classifier
    if found is None:
        raise ValueError("there is no network yet: load a model file, or train the digits")
    return found


@method()
def state(session: Session, blobs: list[bytes]) -> Answer:
    """Return what there is: the network, its layers and first filters, and whether one is being trained.

    Args:
        session: the page's.
        blobs: none.
    """
    room = _room(session)
    data: dict[str, Any] = {"model": None, **_training(room)}
    if room.classifier is None:
        return Answer(data)
    model = room.classifier.model
    filters, shape = first_filters(model)
    data |= {
        "model": room.name,
        "classes": list(room.classifier.classes),
        "summary": _summary(model, _input_shape(room.classifier)),
        "filters": shape,
    }
    return Answer(data, (filters,))


def _training(room: _Room) -> dict[str, Any]:
    """Return how the page's run stands, and which stopped one waits."""
    run = room.run
    going = run is not None and run.alive
    data: dict[str, Any] = {"training": going, "paused": run is not None and run.paused}
    if run is not None:
        data["run"] = _told(run)
    if not going:
        data["waiting"] = waiting()
    return data


def _told(run: Run) -> dict[str, Any]:
    return {
        "folder": str(run.folder), "epochs": run.epochs, "seed": run.settings.seed, "history": list(run.records),
        "batch": run.batch, "least_loss": least_loss(),
    }  # fmt: skip


def _summary(model: Layer, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the network's layers as the rows of a table."""
    found = summarise(model, [shape])
    rows = [
        [row.name, row.layer, list(row.output_shape), row.parameters, row.multiply_adds] for row in found.rows
    ]
    return {"rows": rows, "parameters": found.parameters, "multiply_adds": found.multiply_adds}


def first_filters(model: Layer) -> tuple[bytes, list[int]]:
    """Return the weights of the first convolution as float32 bytes, and their shape; nothing where there is none.

    Args:
        model: any.
    """
    for value in model.state().values():
        if value.ndim == 4:
            return value.astype("<f4").tobytes(), list(value.shape)
    return b"", []


def _input_shape(classifier: Classifier) -> tuple[int, ...]:
    """Return the shape of what the preprocessing gives, from a picture made up."""
    page = np.ones((64, 64, 3), np.float32)
    page[16:48, 28:36] = 0.1
    shape = preprocess(page, classifier.preprocessing).shape
    return tuple(int(size) for size in shape)


@method(lane="files")
def load(
    session: Session, blobs: list[bytes], *, name: Annotated[str, Field(max_length=200)] = "model"
) -> Answer:
    """Take in a model file.

    Args:
        session: the page's.
        blobs: the file.
        name: what it is called.
    """
    if len(blobs) != 1:
        raise ValueError("load: send one model file")
    model = read_model(blobs[0])
    classes, steps = model.metadata.get("classes"), model.metadata.get("preprocessing")
    if not isinstance(classes, list) or steps is None:
        raise ValueError(
            "the model file names no classes or no preprocessing; one from deepconv train has both"
        )
    session.keep("model", _size(model))
    room = _room(session)
    room.classifier, room.name, room.seen = Classifier(model, tuple(map(str, classes)), steps), name, None
    return state.call(session, [])


@method(latest=True)
def see(
    session: Session,
    blobs: list[bytes],
    *,
    height: Annotated[int, Field(ge=0, le=1024)] = 0,
    width: Annotated[int, Field(ge=0, le=1024)] = 0,
    why: bool = True,
) -> Answer:
    """Say what a picture shows, with every layer's activations and a map of the pixels that mattered.

    Args:
        session: the page's.
        blobs: a picture file; or, with height and width, grey pixels as drawn on the page.
        height: of what was drawn.
        width: of what was drawn.
        why: also compute the map.
    """
    if len(blobs) != 1:
        raise ValueError("see: send one picture")
    classifier, room = _classifier(session), _room(session)
    x = preprocess(_pixels(blobs[0], height, width), classifier.preprocessing)[None]
    room.seen = x
    named = classifier._named(x[0])
    found = trace(classifier.model, (x,))
    layers: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for name, value in [("input", x), *found.outputs.items()]:
        shown = _shown(value[0])
        kind = repr(found.steps[name].layer) if name in found.steps else ""
        layers.append(
            {
                "name": name,
                "kind": kind[:80],
                "shape": list(value.shape[1:]),
                "shown": list(shown.shape),
                "step": _step(value.shape[1:]),
            }
        )
        parts.append(shown.astype("<f4").tobytes())
    data: dict[str, Any] = {"classes": [[name, share] for name, share in named], "layers": layers[:60]}
    parts = parts[:60]
    if why and x.ndim == 4:
        heat = heat_map(classifier.model, x)[0]
        data["heat"] = list(heat.shape)
        parts.append(heat.astype("<f4").tobytes())
    return Answer(data, tuple(parts))


def _pixels(data: bytes, height: int, width: int) -> Array:
    if not height or not width:
        picture = read_upload(data).pixels
        top = 1.0 if picture.dtype.kind == "f" else float(np.iinfo(picture.dtype).max)
        shares: Array = picture.astype(np.float32) / np.float32(top)
        return (
            shares[..., :3]
            if shares.ndim == 3 and shares.shape[2] >= 3
            else shares.reshape(*shares.shape[:2], -1)[..., 0]
        )
    if len(data) != height * width:
        raise ValueError(f"see: {len(data)} bytes are not {height} × {width} grey pixels")
    return np.frombuffer(data, np.uint8).reshape(height, width).astype(np.float32) / np.float32(255)


def _shown(value: Array) -> Array:
    """Return as many maps of a layer, and as large, as the page shows: `(C, H, W)`, a row of numbers `(1, 1, C)`."""
    if value.ndim != 3:
        return value.reshape(1, 1, -1)[..., : _SIDE * _SIDE]
    step = _step(value.shape)
    return value[:_MAPS, ::step, ::step]


def _step(shape: tuple[int, ...]) -> int:
    """Return every how manieth row and column of a layer's maps the page shows."""
    return -(-max(shape[1:]) // _SIDE) if len(shape) == 3 else 1


@method(latest=True)
def unit(
    session: Session,
    blobs: list[bytes],
    *,
    layer: Annotated[str, Field(max_length=200)],
    channel: Annotated[int, Field(ge=0)],
    row: Annotated[int, Field(ge=0)] = 0,
    column: Annotated[int, Field(ge=0)] = 0,
    first: Annotated[int, Field(ge=0)] = 0,
) -> Answer:
    """Return what made one activation: the numbers that its layer took, and what it did with them.

    Args:
        session: the page's.
        blobs: none.
        layer: its name.
        channel: which map; of what has no maps, which number.
        row: where in the map.
        column: where in the map.
        first: of a convolution over many maps, from which of them on.
    """
    classifier, room = _classifier(session), _room(session)
    if room.seen is None:
        raise ValueError("unit: show a picture first")
    found = trace(classifier.model, (room.seen,))
    if layer not in found.outputs:
        raise ValueError(f"unit: layer={layer!r} is none of {', '.join(found.outputs)}")
    value = found.outputs[layer][0]
    place = _place(layer, value, channel, row, column)
    data: dict[str, Any] = {
        "layer": layer, "place": place, "value": to_page(value[place]), "made": made(found, layer, place, first),
    }  # fmt: skip
    if value.ndim == 3:
        rows, columns = receptive_window(
            classifier.model, layer, row, column, input_shape=room.seen.shape[1:]
        )
        data["window"] = [[rows.start, rows.stop], [columns.start, columns.stop]]
    return Answer(data)


def _place(layer: str, value: Array, channel: int, row: int, column: int) -> tuple[int, ...]:
    """Return where a number stands: of a map by its place, of anything else by its number in row-major order."""
    if value.ndim == 3:
        place: tuple[int, ...] = (channel, row, column)
        fits = all(index < size for index, size in zip(place, value.shape, strict=True))
    else:
        place, fits = (channel,), channel < value.size
    if not fits:
        raise ValueError(f"unit: {place} lies outside {layer}, which has shape {value.shape}")
    return place if value.ndim == 3 else tuple(int(i) for i in np.unravel_index(channel, value.shape))


@method()
def train(
    session: Session,
    blobs: list[bytes],
    *,
    epochs: Annotated[int, Field(ge=1, le=200)] = 30,
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0,
    resume: bool = False,
) -> Answer:
    """Begin to train on the digits; news of it comes as events `batch`, `epoch` and `end`.

    Args:
        session: the page's.
        blobs: none.
        epochs: how often each digit is seen.
        seed: decides everything random.
        resume: go on with the last run that was stopped.
    """
    room = _room(session)
    with room.lock:
        if room.run is not None and room.run.alive:
            raise ValueError("train: one is being trained already; stop it first")
        watched = digits_network().initialize((1, 8, 8))

        def epoch(model: Layer, record: dict[str, Any]) -> None:
            watched.load_state(model.state())
            filters, shape = first_filters(model)
            session.tell("network", "epoch", {**record, "filters": shape}, (filters,))

        def end(model: Layer | None, news: dict[str, Any]) -> None:
            if model is not None:
                room.classifier = Classifier(
                    model, tuple(model.metadata["classes"]), model.metadata["preprocessing"]
                )
            session.tell("network", "end", news)

        room.run = start(
            epochs=epochs, seed=seed, resume=resume, epoch=epoch, end=end,
            batch=lambda news: session.tell("network", "batch", news),
        )  # fmt: skip
        room.classifier, room.name = (
            Classifier(watched, room.run.classes, room.run.preprocessing),
            "the digits",
        )
    return Answer(_told(room.run))


@method()
def control(session: Session, blobs: list[bytes], *, action: Literal["pause", "resume", "stop"]) -> Answer:
    """Pause, go on with, or stop what is being trained.

    Args:
        session: the page's.
        blobs: none.
        action: which.
    """
    run = _room(session).run
    if run is None or not run.alive:
        raise ValueError(f"{action}: nothing is being trained")
    getattr(run, {"pause": "pause", "resume": "go_on", "stop": "stop"}[action])()
    return Answer({"action": action})
