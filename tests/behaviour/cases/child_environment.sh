# The whole environment of a child and of a grandchild.
# run:
env | sort; sh -c 'env | sort'; env -u HOME sh -c 'env | sort'
