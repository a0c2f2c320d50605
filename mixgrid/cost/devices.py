"""Devices: what they can compute at most, what share of it training is assumed to reach, what an hour costs.

    find_device("NVIDIA H100 80GB HBM3")  -> DEVICES["H100"], whose bf16 peak is 989.4 TFLOP/s
    find_device("cpu")                    -> DEVICES["cpu"], one core

Peaks are dense tensor-core bf16 and plain fp32, from the makers' data sheets. The shares are assumptions until
something was measured. **Prices are round figures of 2025 for renting one device on demand, in US dollars an hour; they
are no quotes.** Say what you pay with `--price` (MIXGRID_PRICE).
"""

from dataclasses import dataclass

PRICES_OF = "2025"


@dataclass(frozen=True, kw_only=True)
class Device:
    """`name` is a part of what the driver calls it. TFLOP/s; `share` of the peak is assumed; `price` an hour."""

    name: str
    bf16: float
    fp32: float
    price: float
    share: float = 0.4

    def peak(self, *, half: bool) -> float:
        """FLOP/s at most."""
        return (self.bf16 if half else self.fp32) * 1e12


DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        Device(name="B200", bf16=2250.0, fp32=75.0, price=5.5),
        Device(name="H200", bf16=989.4, fp32=66.9, price=3.5),
        Device(name="H100 PCIe", bf16=756.5, fp32=51.2, price=2.5),
        Device(name="H100", bf16=989.4, fp32=66.9, price=3.0),
        Device(name="A100", bf16=312.0, fp32=19.5, price=1.8),
        Device(name="L40S", bf16=362.1, fp32=91.6, price=1.0),
        Device(name="L4", bf16=121.0, fp32=30.3, price=0.7),
        Device(name="A10G", bf16=70.0, fp32=35.0, price=1.0),
        Device(name="4090", bf16=165.2, fp32=82.6, price=0.5),
        Device(name="3090", bf16=71.0, fp32=35.6, price=0.3),
        # one core of 3 GHz with two AVX2 units of 8 lanes, multiply and add
        Device(name="cpu", bf16=0.096, fp32=0.096, price=0.05),
    )
}
"""By name; a longer name comes before a shorter one that is a part of it."""


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A device at a price, and how it came to be chosen."""

    device: Device
    price: float
    chosen: str


def find_device(name: str) -> Device | None:
    """The device whose name is a part of `name`, as a driver or a record says it; None for one not in the table."""
    return next((device for part, device in DEVICES.items() if part.lower() in name.lower()), None)
