"""Print the laws with their |z|, and their mutants with theirs, as a Markdown table."""

import torch

from laws.table import LAWS


def cell(text: str) -> str:
    """Text that a bar does not end."""
    return text.replace("|", "\\|")


torch.set_num_threads(1)
print("| law | what is tested | \\|z\\| | mutant | \\|z\\| of the mutant |")
print("| --- | --- | ---: | --- | ---: |")
for law in LAWS:
    head = f"| {cell(law.name)} | {cell(law.statement)} | {abs(law.z()):.1f} |"
    for mutant, wrong in law.mutants.items():
        print(f"{head} {cell(mutant)} | {abs(law.z(**wrong)):.3g} |")
        head = "| | | |"
