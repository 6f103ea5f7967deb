"""An embedded Service Bus: AMQP 1.0 on loopback, spoken to by the real SDK."""
