from acqplan.cli.arguments import examples

EXAMPLES = examples("acqplan demo", "acqplan demo --only mri --minutes 2 -o /tmp/demo")


def demo() -> None:
    """x"""
