"""Site densities by kwant's kernel polynomial method: python kwant_density.py GIVEN.npz FOUND.npz SETTINGS (run by peers.py)."""

import json
import sys
import time

import kwant
import numpy as np

given = np.load(sys.argv[1])
onsite, hopping, temperature = given["onsite"], float(given["hopping"]), float(given["temperature"])
height, width = onsite.shape
lattice = kwant.lattice.square(norbs=1)
system = kwant.Builder()
for y in range(height):
    for x in range(width):
        system[lattice(x, y)] = onsite[y, x]
for y in range(height):
    for x in range(width):
        system[lattice(x, y), lattice((x + 1) % width, y)] = hopping
        system[lattice(x, y), lattice(x, (y + 1) % height)] = hopping
finished = system.finalized()
places = np.array([[site.tag[1], site.tag[0]] for site in finished.sites])
density = kwant.operator.Density(finished, sum=False)
results = {}
for n, setting in enumerate(json.loads(sys.argv[3])):
    started = time.perf_counter()
    spectrum = kwant.kpm.SpectralDensity(
        finished, operator=density, num_vectors=setting["vectors"], num_moments=setting["moments"], rng=0,
        kernel=lambda moments: moments,
    )  # fmt: skip
    values = spectrum.integrate(lambda e: 1.0 / (1.0 + np.exp(np.clip(e / temperature, -700, 700))))
    results[f"seconds_{n}"] = time.perf_counter() - started
    grid = np.empty_like(onsite)
    grid[places[:, 0], places[:, 1]] = np.real(values)
    results[f"density_{n}"] = grid
np.savez(sys.argv[2], **results)
