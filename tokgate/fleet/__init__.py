"""A fleet of edge nodes: the suite once on every node of a Ray cluster. Ray places, retries and gathers.

cluster   the Ray cluster: its nodes, and one task on each; the only module that imports ray
task      what runs on a node, carried there by value: pytest in the node's own checkout
node      what became of a node: its sessions, each judged, or why there is none
measured  what tells a node's sessions apart (pure)
peers     nodes of one machine id compared with each other, matrix by matrix (pure)
"""
