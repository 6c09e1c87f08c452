//! Jobs on a pretended machine.
