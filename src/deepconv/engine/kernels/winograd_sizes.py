"""What the Winograd kernels are told of a problem and of how it is cut into blocks, in the order of their table."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """Sizes of one convolution; of an input gradient as the convolution that it is.

    A *plane* is the rows y of an image with the same y mod dy; a tile is 4×4 pixels of a plane's columns
    x with the same x mod dx; a panel is two vectors of filters.

    Attributes:
        planes: of the batch.
        channels: over which is summed.
        height: of the input.
        width: of the input.
        filters: channels of the output.
        out_height: of the output.
        out_width: of the output.
        row_tiles: tiles down a plane.
        column_tiles: tiles along a plane's row, for each x mod dx.
        top: the row of the input that the first output's first tap reads; may be negative.
        left: its column.
        dy: dilation of the rows.
        dx: dilation of the columns.
        pieces_y: pieces of three rows of taps.
        pieces_x: pieces of three columns of taps.
        block_planes: planes of a block, which is what is taken through all steps at once.
        block_rows: rows of tiles of a block.
        block_columns: columns of tiles of a block, for each x mod dx.
        group: panels of filters for which products are held.
        chunk: channels that are transformed at once, a multiple of a vector's lanes.
        v_row: numbers from tile to tile of v.
        v_point: numbers from point to point of v.
        m_point: the same of m.
        u_point: the same of u.
    """

    planes: int
    channels: int
    height: int
    width: int
    filters: int
    out_height: int
    out_width: int
    row_tiles: int
    column_tiles: int
    top: int
    left: int
    dy: int
    dx: int
    pieces_y: int
    pieces_x: int
    block_planes: int
    block_rows: int
    block_columns: int
    group: int
    chunk: int
    v_row: int = 0
    v_point: int = 0
    m_point: int = 0
    u_point: int = 0
