"""An HTTP provider that enforces limits by its own arithmetic. Imports nothing of the library."""

from .config import SimulatorConfigError, SimulatorError
from .launch import RunningSimulator, run_simulator, serve

__all__ = ["RunningSimulator", "SimulatorConfigError", "SimulatorError", "run_simulator", "serve"]
