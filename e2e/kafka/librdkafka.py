"""The consumers of many pods by librdkafka, told by HTTP what to do as Consumers.java is.

    python3 librdkafka.py BROKERS PORT

POST /pod?namespace&name&groups&topics&assignor   starts a consumer, whose client.id is the name of the pod
DELETE /pod?namespace&name, DELETE /pods?namespace   closes it, or all of a namespace
POST /stuck?namespace&name[&topic&partition]      the pod no longer fetches this partition, or any
GET /state?namespace                              a line each: pod, group, topic, partition, messages read
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from confluent_kafka import Consumer

PODS = {}


class Pod(threading.Thread):
    def __init__(self, asked):
        super().__init__(daemon=True)
        self.name, self.group = asked["name"], asked["groups"]
        self.owned, self.read, self.stuck = [], {}, set()
        self.sticks_to_all = self.is_closing = False
        settings = {
            "bootstrap.servers": sys.argv[1],
            "group.id": self.group,
            "client.id": self.name,
            "auto.offset.reset": "earliest",
            "auto.commit.interval.ms": 1000,
        }
        if asked["assignor"] == "uniform":
            settings["group.protocol"] = "consumer"
        else:
            settings["partition.assignment.strategy"] = asked["assignor"]
        self.consumer = Consumer(settings)
        self.consumer.subscribe(asked["topics"].split(","))
        self.start()

    def run(self):
        while not self.is_closing:
            message = self.consumer.poll(0.2)
            self.owned = self.consumer.assignment()
            paused = [at for at in self.owned if self.sticks_to_all or (at.topic, at.partition) in self.stuck]
            if paused:
                self.consumer.pause(paused)
            if message is not None and message.error() is None:
                place = (message.topic(), message.partition())
                self.read[place] = self.read.get(place, 0) + 1
        self.consumer.close()

    def stick(self, asked):
        if "topic" in asked:
            self.stuck.add((asked["topic"], int(asked["partition"])))
        else:
            self.sticks_to_all = True

    def close(self):
        self.is_closing = True
        self.join()

    def tell(self):
        places = [(at.topic, at.partition) for at in self.owned]
        return "".join(f"{self.name} {self.group} {at[0]} {at[1]} {self.read.get(at, 0)}\n" for at in places)


def perform(method, path, asked):
    key = (asked["namespace"], asked.get("name"))
    here = [pod for pod in list(PODS) if pod[0] == key[0]]
    if (method, path) == ("POST", "/pod"):
        PODS[key] = Pod(asked)
    elif (method, path) == ("POST", "/stuck"):
        PODS[key].stick(asked)
    elif method == "DELETE":
        for pod in here:
            if path == "/pods" or pod == key:
                PODS.pop(pod).close()
    elif path == "/state":
        return "".join(PODS[pod].tell() for pod in here)
    else:
        raise ValueError(f"{method} {path}")
    return ""


class Orders(BaseHTTPRequestHandler):
    def answer(self):
        asked = urlsplit(self.path)
        try:
            status, body = 200, perform(self.command, asked.path, dict(parse_qsl(asked.query)))
        except Exception as error:  # The test shows it.
            status, body = 500, repr(error)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Orders).serve_forever()
