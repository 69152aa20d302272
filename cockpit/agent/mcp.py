"""`cockpit mcp`: the MCP server that lets any client do the research, over standard input and output.

It offers Claude's tools and `wait`. A client proposes under the name that it introduces itself with. Its proposals are
approved like all others: by a person, or within the envelope.
"""

from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from cockpit import __version__
from cockpit.agent.claude.role import ROLE_OUTSIDE
from cockpit.agent.outside import OUTSIDE_TOOLS, OutsideProposerApi, call_outside
from cockpit.session.paths import SessionFolder


class _ClientApis:
    """The api of each client name, opened at the first call under that name."""

    def __init__(self, folder: SessionFolder) -> None:
        self._folder = folder
        self._apis: dict[str, OutsideProposerApi] = {}

    def of_client(self, context: ServerRequestContext[Any, Any]) -> OutsideProposerApi:
        introduced = context.session.client_params
        name = introduced.client_info.name if introduced else ""
        if name not in self._apis:
            self._apis[name] = OutsideProposerApi(self._folder, name)
        return self._apis[name]

    def close(self) -> None:
        for api in self._apis.values():
            api.close()


def server(folder: SessionFolder) -> tuple[Server[Any], _ClientApis]:
    """Return the MCP server of a session, and the apis to close after it."""
    apis = _ClientApis(folder)

    async def list_tools(
        context: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=tool.name,
                    description=tool.description,
                    input_schema=tool.schema,
                    annotations=types.ToolAnnotations(read_only_hint=tool.reads_only, open_world_hint=False),
                )
                for tool in OUTSIDE_TOOLS.values()
            ]
        )

    async def call_tool(
        context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        api = apis.of_client(context)
        answer = await anyio.to_thread.run_sync(
            call_outside, api, params.name, params.arguments or {}, abandon_on_cancel=True
        )
        return types.CallToolResult(content=[types.TextContent(type="text", text=answer.text)], is_error=answer.failed)

    mcp_server: Server[Any] = Server(
        "cockpit",
        version=__version__,
        instructions=ROLE_OUTSIDE,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    return mcp_server, apis


def serve(session_dir: Path) -> None:
    """Serve the session on standard input and output until the client disconnects.

    Raises LedgerError, with one sentence, if the session does not exist or is not writable.
    """
    folder = SessionFolder(session_dir)
    OutsideProposerApi(folder, "").close()
    mcp_server, apis = server(folder)

    async def run() -> None:
        async with stdio_server() as (read_stream, write_stream):
            await mcp_server.run(read_stream, write_stream, mcp_server.create_initialization_options())

    try:
        anyio.run(run)
    except* (BrokenPipeError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass  # the client disconnected without a shutdown
    finally:
        apis.close()
