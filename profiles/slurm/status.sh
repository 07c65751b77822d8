#!/usr/bin/env bash
# What became of a SLURM job, in the words of the cluster-generic executor: status.sh JOBID
# A job that SLURM has forgotten counts as failed: rerunning it does no harm. While SLURM does not answer, it counts as running.
shopt -s extglob
answer=$(scontrol --oneliner show job "$1" 2>&1)
case $answer in
    *"JobState=COMPLETED "*) echo success ;;
    *JobState=@(PENDING|CONFIGURING|RUNNING|COMPLETING|SUSPENDED|REQUEUED|PREEMPTED)" "*) echo running ;;
    *JobState=* | *"Invalid job id"*) echo failed ;;
    *) echo running ;;
esac
