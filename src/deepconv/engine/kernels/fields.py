"""Where the numbers stand in the table of whole numbers that describes a direct convolution to its kernel.

`algorithms/direct_plan.py` fills it in, once for a geometry. What has an entry for each axis takes three
places: depth, height, width. Steps are counted in numbers, not bytes.
"""

AXES = 3

# ---- what is read, and its phase planes (planes.py) ----------------------------------------------------
SOURCE_IMAGE = 0  # from an image to the next
SOURCE_CHANNEL = 1
SOURCE_SIZE = 2  # … 4
STEP = 5  # … 7: the stride with which pixels are picked
PLANE_IMAGE = 8  # steps in the planes; where nothing is copied, in the source itself
PLANE_CHANNEL = 9
PLANE_PHASE = 10
PLANE_DEPTH = 11
PLANE_ROW = 12
PHASES = 13  # how many
PHASE_LIST = 14  # where in this table they stand: a remainder for each axis
LOW = 15  # … 17: the pixel that index 0 of phase 0 stands for
REACH = 18  # … 20: how far a plane is longer than the places it serves
COPIED = 21  # whether planes are made at all

# ---- how the work falls into blocks ---------------------------------------------------------------------
BATCH = 22
GROUPS = 23
CHANNELS = 24  # of a group, in what is read
FILTERS = 25  # of a group: channels of the result
BLOCK_IMAGES = 26  # images of a block
STRIPS = 27  # blocks that an image falls into
STRIP = 28  # places of a strip on its axis
STRIP_AXIS = 29
UNITS = 30  # tiles of filters in a block: what threads share
MOST_DEPTH = 31  # rows of a packed panel
MOST_PANELS = 32  # panels whose sums are kept at once
MOST_FILTERS = 33  # tiles of filters per pass over the panels
RELU = 34

# ---- scratch, in numbers behind its beginning -----------------------------------------------------------
PANEL_AT = 35
SUMS_AT = 36
TILE_AT = 37
BIAS_AT = 38
PLANES_AT = 39
RUNS_AT = 40  # in words of 8 bytes

# ---- the result -----------------------------------------------------------------------------------------
RESULT_IMAGE = 41
RESULT_CHANNEL = 42
JOBS = 43  # convolutions over the same planes: one, or one for each phase of an input gradient
JOB_LIST = 44  # where in this table they stand, JOB_FIELDS each

# ---- the weight as it comes: steps to the next filter of the result, channel of what is read, group ----------
WEIGHT_FILTER = 45
WEIGHT_CHANNEL = 46
WEIGHT_GROUP = 47

PLACES = 48  # … 50: the most places of a job on each axis
FIELDS = 51

# ---- a job's own numbers --------------------------------------------------------------------------------

JOB_DEPTH = 0  # rows of the product: channels · cells
JOB_WEIGHT = 1  # where its weights begin
JOB_OFFSETS = 2  # where in this table its rows' offsets in the planes stand
JOB_SIZE = 3  # … 5: places on each axis
JOB_FIRST = 6  # where in an image's channel of the result the first place is written
JOB_STEP = 7  # … 9: from a place to the next on each axis
JOB_ORDERED = 10  # whether places follow each other in the result
JOB_CELLS = 11  # where in this table its kernel cells stand: offsets in the weight
JOB_FIELDS = 12
