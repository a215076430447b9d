"""Print the |z| of every law and of its mutants as a Markdown table; run in tests/."""

import torch

from laws.table import LAWS

if __name__ == "__main__":
    torch.set_num_threads(1)
    print(r"| law | what is tested | \|z\| | mutants, and their \|z\| |")
    print("| --- | --- | ---: | --- |")
    for law in LAWS:
        mutants = "; ".join(f"{mutant}: {abs(law.z(**wrong)):.3g}" for mutant, wrong in law.mutants.items())
        print(f"| {law.name} | {law.statement} | {abs(law.z()):.1f} | {mutants} |")
