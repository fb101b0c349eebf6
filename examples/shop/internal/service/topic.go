package service

// OrdersTopic is where orders publishes each change of an order, and shipping reads.
const OrdersTopic = "orders"
