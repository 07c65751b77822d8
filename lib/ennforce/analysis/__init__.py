"""From recorded observables to domain sizes, ensembles and growth exponents: arrays in, arrays out."""
