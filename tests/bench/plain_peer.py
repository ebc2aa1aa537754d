"""The other end of the bare transport: python plain_peer.py ENDPOINT PIECE_BYTES

A request is [how many bytes, anything]; so many come back, in messages of at most PIECE_BYTES.
"""

import sys

import zmq


def main() -> None:
    endpoint, piece = sys.argv[1], int(sys.argv[2])
    content = memoryview(bytes(piece))
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(endpoint)
        while True:
            peer, asked, *_ = router.recv_multipart(copy=False)
            left = int(asked.bytes)
            while left > 0:
                router.send_multipart([peer.bytes, content[: min(piece, left)]], copy=False)
                left -= piece


if __name__ == "__main__":
    main()
