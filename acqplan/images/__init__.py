"""Training images: read them, tell subjects apart, and bring them to what an instrument would see.

    stacks = load_stacks(["sample:brain"])
    parts = split(stacks)
    images = prepare(parts, (128, 128), preparation=Preparation())
    batch = images.batch(8, torch_generator(0, "batches"))   # float32[8, 128, 128]

`preparation` is what an instrument makes of images; each modality has its own. Readers choose themselves by the content
of a file. Splits keep subjects apart. `crimes` finds images whose history would flatter the result, and warns by name.
"""

from acqplan.images.load import load_stacks
from acqplan.images.prepare import ImageRecord, TrainingImages, prepare
from acqplan.images.resample import fit
from acqplan.images.samples import SAMPLES
from acqplan.images.split import Split, split
from acqplan.images.stack import ImageStack

__all__ = ["SAMPLES", "ImageRecord", "ImageStack", "Split", "TrainingImages", "fit", "load_stacks", "prepare", "split"]
