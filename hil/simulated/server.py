"""Serves simulated devices over Modbus: TCP, TLS, or a serial line.

Public: `await serve(devices, url, *, tls=None) -> Served` inside one's own event loop, and `DeviceServer(devices, ...)`
which runs many devices in a thread of its own, for tests, the command line and runs:

    with DeviceServer({"roof": SimulatedDevice(profile)}) as server:
        server.urls["roof"]                       # tcp://127.0.0.1:<port the system chose>
        server.set("roof", "available_kw", 4.2)   # a time series' hook
        server.fault("roof", "silent")
        server.cut("roof"); server.heal("roof")   # the network, not the device
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, cast

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer
from pymodbus.server.requesthandler import ServerRequestHandler

from feederloop.hil.address import DeviceAddress
from feederloop.hil.simulated.answers import respond, sim_device
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.faults import Fault
from feederloop.simulators.errors import InputError

_GARBAGE = bytes(range(0x51, 0x5B))


class _Handler(ServerRequestHandler):
    """One connection: applies the faults of the device that is asked, around pymodbus's own handling.

    pymodbus looks up the request's number only when it answers; a device that is asked again while it dawdles would
    answer the first request with the number of the second. Here each answer keeps the number of its own request.
    """

    def handle_later(self) -> None:
        if self._answer_at_once():
            return
        # Inherited, this goes by way of another thread's future, which costs more than the answer does.
        task = self.loop.create_task(self.handle_request())
        self.server.answering.add(task)
        task.add_done_callback(self.server.answering.discard)

    def _answer_at_once(self) -> bool:
        """Answer a read or write of registers of a device without faults; whatever else there is takes longer."""
        pdu = self.last_pdu
        device = None if pdu is None else self.server.device_for(pdu.dev_id)
        if pdu is None or device is None or device.away or device.faults.any:
            return False
        response = respond(device, pdu)
        if response is None:
            return False
        self._answer(response, pdu, self.last_addr)
        return True

    async def handle_request(self) -> None:
        pdu, addr = self.last_pdu, self.last_addr
        if pdu is None:
            return
        device = self.server.device_for(pdu.dev_id)
        if device is None:
            if not self.server.is_line:
                self._answer(ExceptionResponse(pdu.function_code, ExcCodes.GATEWAY_NO_RESPONSE), pdu, addr)
            return
        faults = device.faults
        if device.away or faults.has(Fault.SILENT):
            return
        if faults.has(Fault.RESET):
            self._break()
            return
        if faults.has(Fault.SLOW):
            await asyncio.sleep(faults.parameter(Fault.SLOW, "delay_s"))
        if faults.has(Fault.EXCEPTION):
            code = int(faults.parameter(Fault.EXCEPTION, "code"))
            response: ModbusPDU = ExceptionResponse(pdu.function_code, code)
        else:
            response = await pdu.datastore_update(self.server.context, pdu.dev_id)
        if faults.has(Fault.LATE):
            await asyncio.sleep(faults.parameter(Fault.LATE, "delay_s"))
        if faults.has(Fault.GARBAGE):
            self._send_garbage(pdu)
        else:
            self._answer(response, pdu, addr)

    def _answer(self, response: ModbusPDU, request: ModbusPDU, addr: tuple[Any, ...] | None) -> None:
        if self.transport is None:
            return
        response.transaction_id, response.dev_id = request.transaction_id, request.dev_id
        self.server_send(response, addr)

    def _send_garbage(self, request: ModbusPDU) -> None:
        if self.transport is None:
            return
        header = b""
        if not self.server.is_line:
            # A header that fits, so that the nonsense gets as far as it can.
            header = struct.pack(">HHHB", request.transaction_id, 0, len(_GARBAGE) + 1, request.dev_id)
        self.send(header + _GARBAGE)

    def _break(self) -> None:
        raw = self.transport.get_extra_info("socket") if self.transport and not self.server.is_line else None
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            cast(asyncio.Transport, self.transport).abort()


class _Serving:
    """What the servers have in common: which devices they serve, and handlers that know faults."""

    devices: Mapping[int, SimulatedDevice]
    answering: set[asyncio.Task[None]]
    is_line = False

    def callback_new_connection(self) -> _Handler:
        return _Handler(self, None, None, None)

    def device_for(self, unit: int) -> SimulatedDevice | None:
        """Return the device that answers to a unit id."""
        known = self.devices.get(unit)
        return known or next((device for device in self.devices.values() if device.any_unit), None)


class _TcpServer(_Serving, ModbusTcpServer):
    pass


class _TlsServer(_Serving, ModbusTlsServer):
    pass


class _SerialServer(_Serving, ModbusSerialServer):
    is_line = True


class Served:
    """Devices being served; `url` says where, with the port that the system chose if 0 was asked for."""

    def __init__(self, server: _TcpServer | _TlsServer | _SerialServer, url: str) -> None:
        self.url = url
        self._server = server

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        await self._server.shutdown()
        # The transports close in the loop's next round.
        await asyncio.sleep(0)


async def serve(
    devices: Sequence[SimulatedDevice], url: str = "tcp://127.0.0.1:0", *, tls: ssl.SSLContext | None = None
) -> Served:
    """Serve devices, told apart by their unit ids, on one port or one serial line.

    Args:
        devices: At least one, with different unit ids.
        url: `tcp://host:port`, `tls://host:port` (port 0: the system chooses) or `rtu:///dev/...`.
        tls: The server's context, for `tls://`.

    Raises:
        InputError: Two devices have the same unit id, tls is missing, or the address cannot be opened.
    """
    units = {device.unit: device for device in devices}
    if len(units) != len(devices) or not devices:
        raise InputError("devices on one line need unit ids of their own", key="unit", value=sorted(units))
    address = DeviceAddress.parse(url, devices[0].profile)
    context = [sim_device(device, unit) for unit, device in units.items()]
    catch_all = next((device for device in devices if device.any_unit), None)
    if catch_all is not None and 0 not in units:
        context.append(sim_device(catch_all, 0))
    server: _TcpServer | _TlsServer | _SerialServer
    if address.protocol == "rtu":
        server = _SerialServer(
            context, port=address.host, baudrate=address.baud, parity=address.parity, stopbits=address.stop_bits
        )
    elif address.protocol == "tls":
        if tls is None:
            raise InputError("serving TLS needs a context with a certificate", key="tls", value=url)
        server = _TlsServer(context, address=(address.host, address.port), sslctx=tls)
    else:
        server = _TcpServer(context, address=(address.host, address.port))
    server.devices, server.answering = units, set()
    try:
        await server.serve_forever(background=True)
    except (RuntimeError, OSError) as error:
        raise InputError(f"cannot serve here: {error}", key="url", value=url) from error
    if address.protocol == "rtu":
        return Served(server, str(address))
    port = cast(asyncio.Server, server.transport).sockets[0].getsockname()[1]
    host = f"[{address.host}]" if ":" in address.host else address.host
    return Served(server, f"{address.protocol}://{host}:{port}")


async def _abandon_answers() -> None:
    """Cancel what slow devices still had to say."""
    dawdling = asyncio.all_tasks() - {asyncio.current_task()}
    for task in dawdling:
        task.cancel()
    await asyncio.gather(*dawdling, return_exceptions=True)


class DeviceServer:
    """Serves many devices from a thread with an event loop of its own.

    Args:
        devices: By name.
        addresses: Where to serve a device, by name; a free loopback port without it. Devices with the same address (and
            a port that is not 0) share it and need unit ids of their own.
        tls: Server context for `tls://` addresses.
    """

    def __init__(
        self,
        devices: Mapping[str, SimulatedDevice],
        *,
        addresses: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.devices = dict(devices)
        self.urls: dict[str, str] = {}
        self._addresses = {name: (addresses or {}).get(name, "tcp://127.0.0.1:0") for name in devices}
        self._tls = tls
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._served: dict[tuple[str, ...], Served] = {}

    def __enter__(self) -> "DeviceServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve all devices; returns when every one can be reached.

        Raises:
            InputError: One of the addresses cannot be served; then none is.
        """
        if self._thread is not None:
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated devices", daemon=True)
        self._thread.start()
        try:
            for group in self._groups():
                self._run(partial(self._open, group))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Close everything and end the thread; may be called twice."""
        if self._loop is None or self._thread is None:
            return
        for group in list(self._served):
            self._run(partial(self._close, group))
        self._run(_abandon_answers)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def set(self, name: str, attribute: str, value: object) -> None:
        """Drive an attribute of a device's physics, as a time series does."""
        self.devices[name].set(attribute, value)

    def fault(self, name: str, fault: str, **parameters: float) -> None:
        """Switch a fault of a device on."""
        self.devices[name].fault(fault, **parameters)

    def clear(self, name: str, fault: str | None = None) -> None:
        """Switch a fault of a device off, or all of them."""
        self.devices[name].clear(fault)

    def cut(self, name: str) -> None:
        """Cut a device (and those that share its address) off the network; it lives on."""
        self._run(partial(self._close, self._group_of(name)))

    def heal(self, name: str) -> None:
        """Undo `cut`, at the same address."""
        self._run(partial(self._open, self._group_of(name)))

    def _groups(self) -> list[tuple[str, ...]]:
        shared: dict[str, list[str]] = {}
        for name, url in self._addresses.items():
            own = url.startswith(("tcp:", "tls:")) and DeviceAddress.parse(url, self.devices[name].profile).port == 0
            shared.setdefault(f"{url} {name}" if own else url, []).append(name)
        return [tuple(names) for names in shared.values()]

    def _group_of(self, name: str) -> tuple[str, ...]:
        return next(group for group in self._groups() if name in group)

    async def _open(self, group: tuple[str, ...]) -> None:
        if group in self._served:
            return
        url = self.urls.get(group[0], self._addresses[group[0]])
        served = await serve([self.devices[name] for name in group], url, tls=self._tls)
        self._served[group] = served
        self.urls.update(dict.fromkeys(group, served.url))

    async def _close(self, group: tuple[str, ...]) -> None:
        if group in self._served:
            await self._served.pop(group).stop()

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._loop is None:
            raise InputError("the devices are not being served", key="server")
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(timeout=10)
