"""A reply that cannot be put together is its node's error, and costs nobody else the round.

Flower's grid fetches all replies that wait at the SuperLink at once, and puts each together from the objects
that its node has sent. What an object holds is not checked before: one that is no message ends the grid's
call, the replies fetched with it are lost, and so is the run.
"""

from flwr.app import Error, Message, MessageType, Metadata
from flwr.app.message import make_message
from flwr.common.constant import ErrorCode
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.supercore.inflatable.inflatable_object import get_object_body
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.superlink.grid import http_grid

from fl_backdoor.core.errors import ReplyError


def guard_replies() -> None:
    """Have Flower's grid hand over an error in the place of a reply that cannot be put together."""
    http_grid.__dict__["inflate_object_from_contents"] = put_together


def put_together(object_id: str, object_contents: dict[str, bytes]) -> Message:
    """Return the message that objects hold; an error message if they hold none.

    Parameters
    ----------
    object_id
        Of the message.
    object_contents
        All objects that it consists of, by id; they are taken out.
    """
    outside = object_contents.get(object_id, b"")
    try:
        found = inflate_object_from_contents(object_id, object_contents)
        if not isinstance(found, Message):
            raise ReplyError(f"it is a {type(found).__name__}, no message")
    except Exception as error:  # whatever a hostile object makes of Flower's decoder
        return _error_instead(outside, f"unreadable reply: {type(error).__name__}: {error}")
    return found


def _error_instead(outside: bytes, reason: str) -> Message:
    """Return an error message in answer to what `outside` answers; to nothing if that cannot be read."""
    try:
        answers = ProtoMessage.FromString(get_object_body(outside, Message)).metadata.reply_to_message_id
    except Exception:  # then the node is taken for one that has not answered
        answers = ""
    address = Metadata(0, "", 0, 0, answers, "", 0.0, 0.0, MessageType.TRAIN)
    return make_message(address, error=Error(ErrorCode.UNKNOWN, reason))
