"""Networks that are ready to be trained. A new one is a file here."""

from deepconv.models.digits import digits_network
from deepconv.models.heads import with_new_head
from deepconv.models.lenet import lenet
from deepconv.models.mobile import mobile
from deepconv.models.pictures import NETWORKS, choose_network, choose_size, picture_network
from deepconv.models.resnet import resnet
from deepconv.models.small import small

__all__ = [
    "NETWORKS",
    "choose_network",
    "choose_size",
    "digits_network",
    "lenet",
    "mobile",
    "picture_network",
    "resnet",
    "small",
    "with_new_head",
]
