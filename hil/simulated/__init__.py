"""Simulated devices: the same profiles, served over real Modbus with the physics and the habits of such a device.

Public: `SimulatedDevice` (device.py), `serve` and `DeviceServer` (server.py), the physics `ChargerPhysics`,
`BidirectionalPhysics`, `InverterPhysics`, `StoragePhysics`, `MeterPhysics`, and `Fault` (faults.py).

A simulated device that is made from a profile proves nothing about that profile: see the tests for what does.
"""
