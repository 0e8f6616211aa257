"""Train image classifiers on the owner's own labelled collection."""
