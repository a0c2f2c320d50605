"""The lab: an invented world, its pretraining text and two tiny model shapes, so that a study runs on a laptop."""
