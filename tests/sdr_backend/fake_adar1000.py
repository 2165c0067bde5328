"""A stand-in for pyadi-iio's array of ADAR1000s: its names, phases of 7 bits in degrees, buffers that are latched."""

STEP_DEG = 360 / 128


class FakeElement:
    def __init__(self) -> None:
        self.written_deg, self.on_air_deg = 0.0, 0.0

    @property
    def tx_phase(self) -> float:
        return self.written_deg

    @tx_phase.setter
    def tx_phase(self, value: float) -> None:
        assert 0 <= value < 360
        self.written_deg = value // STEP_DEG * STEP_DEG  # cut off: only whole steps come back as they were


class FakeArray:
    def __init__(
        self,
        uri: str = "",
        chip_ids: list[str] | None = None,
        device_map: list[list[int]] | None = None,
        element_map: list[list[int]] | None = None,
        device_element_map: dict[int, list[int]] | None = None,
    ) -> None:
        if uri == "ip:nowhere":
            raise OSError("Connection refused")
        assert chip_ids is not None
        assert device_map == [list(range(1, len(chip_ids) + 1))]
        assert element_map is not None
        assert device_element_map is not None
        self.elements = {element: FakeElement() for chip in device_element_map.values() for element in chip}
        assert element_map == [list(self.elements)]

    def latch_tx_settings(self) -> None:
        for element in self.elements.values():
            element.on_air_deg = element.written_deg
