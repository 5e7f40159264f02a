"""Steps of an ascent in L1: few values, changed a lot, in balls that shrink to the right one."""
