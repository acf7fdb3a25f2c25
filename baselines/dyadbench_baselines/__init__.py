"""Methods without training by gradient: what every learned method has to beat, and rows that calibrate the metrics."""
