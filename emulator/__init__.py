"""Stands in for the front end, the air and the uplink array until real radios take their place."""
