"""The REACT metrics: FRCorr, FRDist, FRDiv, FRVar, FRDvs, FRSyn, exact and fast."""
