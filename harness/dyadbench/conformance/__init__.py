"""`dyadbench check`: whether a plugin keeps the contract, tried on a tiny corpus."""
