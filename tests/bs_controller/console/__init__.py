"""Tests of bs_controller.console."""
