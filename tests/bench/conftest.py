"""The fixture that method authors time their samplers with, for ours (pytest.ini_options switches the plugin off)."""

from dyadbench.testing import sampling_bench as sampling_bench
