"""Where the numbers stand in the table of whole numbers that describes a direct convolution to its kernel.

`algorithms/direct_plan.py` fills it in, once for a geometry. What has an entry for each axis takes three
places: depth, height, width. Steps are counted in numbers, not bytes; an entry "at" is a place in the table.
"""

AXES = 3

# ---- what is read, and its phase planes (planes.py) ----------------------------------------------------
SOURCE_IMAGE = 0  # from an image to the next
SOURCE_CHANNEL = 1
SOURCE_SIZE = 2  # … 4
STEP = 5  # … 7: the stride with which pixels are picked
PLANE_IMAGE = 8
PLANE_CHANNEL = 9
PLANE_PHASE = 10
PLANE_DEPTH = 11
PLANE_ROW = 12
PHASES = 13  # how many
PHASE_LIST = 14  # at: a remainder for each axis, for each phase

# ---- the product ----------------------------------------------------------------------------------------
COPIED = 15  # whether planes are made at all
GROUPS = 16
CHANNELS = 17  # of a group, in what is read
FILTERS = 18  # of a group: channels of the result
TILES = 19  # tiles of filters of a group: what threads share, for each group and block
MOST_DEPTH = 20  # rows of a packed panel
MOST_PANELS = 21  # panels whose sums are kept at once
MOST_TILES = 22  # tiles of filters in a pass over the panels
RELU = 23
RESULT_CHANNEL = 24

# ---- scratch, in numbers behind its beginning -----------------------------------------------------------
PANEL_AT = 25
SUMS_AT = 26
TILE_AT = 27
BIAS_AT = 28
PLANES_AT = 29

# ---- the weight as it comes: steps to the next filter of the result, channel of what is read, group ----------
WEIGHT_FILTER = 30
WEIGHT_CHANNEL = 31
WEIGHT_GROUP = 32
WEIGHT_CHANNELS = 36  # one where all cells of all channels stand in order
WEIGHT_ORDERED = 37  # whether a channel's cells are wanted in the order in which they stand

JOBS = 33  # convolutions over the same planes: one, or one for each phase of an input gradient
JOB_LIST = 34  # at: JOB_FIELDS each, as a whole block has them
BLOCK_LIST = 35  # at: BLOCK_FIELDS each
WEIGHT_TOGETHER = 38  # channels that are packed for one tile of filters before the next
FAR = 39  # whether what is packed is so large that caches must be asked for it
FIELDS = 40

# ---- a block: some images, or a strip of one ----------------------------------------------------------------
BLOCK_IMAGES = 0
BLOCK_SOURCE = 1  # where it is read from: its first image; where nothing is copied, its first place
BLOCK_REACH = 2  # how many numbers there are from there on
BLOCK_RESULT = 3  # where its first image, or strip, is written
BLOCK_JOBS = 4  # at: JOB_FIELDS for each job, for blocks of its size
BLOCK_LOW = 5  # … 7: the pixel that index 0 of phase 0 stands for
BLOCK_EXTENT = 8  # … 10: how much of each plane is made
BLOCK_FIELDS = 11

# ---- a job, for a size of block -------------------------------------------------------------------------
JOB_DEPTH = 0  # rows of the product: channels · cells
JOB_WEIGHT = 1  # where its weights begin
JOB_OFFSETS = 2  # at: its rows' offsets in the planes
JOB_CELLS = 3  # at: its kernel cells, offsets in the weight
JOB_RESULT = 4  # where in the block's result its first place is written
JOB_STEP = 5  # from a place to the next in a run of the result
JOB_PANELS = 6  # how many
JOB_LISTS = 7  # at: for each panel, at: PANEL_FIELDS and its lists
JOB_FIELDS = 8

# ---- a panel: the places of one register tile -------------------------------------------------------------
PANEL_COPIES = 0  # vectors that a row is copied by: from, to, and how many numbers
PANEL_RUNS = 1  # runs of neighbours in the result: where it begins, its first place, its places
PANEL_WHOLE = 2  # whether the result is one run of all places of a tile
PANEL_JOINED = 3  # whether the panel is full and each of its vectors lies in two runs at most
PANEL_VECTORS = (
    4  # … 12: from where the first numbers of each of three vectors come, the others, how many first ones
)
PANEL_FIELDS = 13
