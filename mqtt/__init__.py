"""MQTT: the client and its transport, what is published when, commands received, and Home Assistant's discovery."""
