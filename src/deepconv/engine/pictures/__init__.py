"""Pictures filtered channel by channel, height × width × channels as they come; `choice` is where one enters."""
