# crossrank on Ray's own image, for nodes of a cluster (cluster.yaml's `docker`, serve/kuberay/).
#
#   docker build --tag crossrank .
FROM rayproject/ray:2.60.0-py311-gpu
COPY --chown=ray:users pyproject.toml constraints.txt README.md LICENSE /crossrank/
COPY --chown=ray:users platform /crossrank/platform
COPY --chown=ray:users jobs/recipes /crossrank/jobs/recipes
RUN pip install --no-cache-dir --constraint /crossrank/constraints.txt torch==2.13.0
RUN pip install --no-cache-dir --constraint /crossrank/constraints.txt '/crossrank[korean,lora]'
RUN crossrank --version
