"""Photographs for training: found in folders, shards, lists and labelled sets, decoded once, cropped many times."""

from colorize_training.data.crops import draw_crop, planes, squash
from colorize_training.data.decoding import Skipped, Unusable
from colorize_training.data.manifests import Lists, add_list_options, chosen_lists
from colorize_training.data.packing import pack, read_photographs
from colorize_training.data.photographs import PackedPhotographs, manifest, overlap, split, write_split
from colorize_training.data.resident import ResidentPhotographs, Views
from colorize_training.data.statistics import lightness_statistics

__all__ = [
    "Lists",
    "PackedPhotographs",
    "ResidentPhotographs",
    "Skipped",
    "Unusable",
    "Views",
    "add_list_options",
    "chosen_lists",
    "draw_crop",
    "lightness_statistics",
    "manifest",
    "overlap",
    "pack",
    "planes",
    "read_photographs",
    "split",
    "squash",
    "write_split",
]
