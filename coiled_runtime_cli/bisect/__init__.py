"""Find the commit, release or package that changed a measurement: candidates, their environments, probes, and the loop."""
