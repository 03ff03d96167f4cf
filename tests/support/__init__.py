"""What tests share: builders of valid objects, packets, strategies, and a cluster to run journeys in."""
