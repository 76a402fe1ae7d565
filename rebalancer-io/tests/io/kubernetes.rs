//! The Kubernetes side against recorded answers and a simulated API server.

mod answers;
mod connect;
mod pods;
mod rotation;
mod stop;
mod volumes;
