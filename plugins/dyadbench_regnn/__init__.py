"""REGNN (REACT 2024's baseline): the speaker gives a code and a graph, a reversible network turns codes into reactions."""
