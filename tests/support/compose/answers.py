"""Health check of a server in a container of our own image: does it accept a connection? `answers.py PORT`"""

import socket
import sys

socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2).close()
