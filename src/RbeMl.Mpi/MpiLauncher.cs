using System.Globalization;

namespace RbeMl.Mpi;

/// <summary>What started this process as one of several ranks, as the environment tells before MPI is loaded.</summary>
/// <param name="Kind">Whose launcher it is, which decides about the library.</param>
/// <param name="Size">Ranks that it started.</param>
/// <param name="LocalSize">Ranks on this machine; 1 where it does not tell.</param>
internal sealed record MpiLauncher(MpiKind Kind, int Size, int LocalSize)
{
    private const string OpenSize = "OMPI_COMM_WORLD_SIZE", OpenLocal = "OMPI_COMM_WORLD_LOCAL_SIZE", PmiSize = "PMI_SIZE", PmiLocal = "MPI_LOCALNRANKS",
        PmixRank = "PMIX_RANK", SlurmSize = "SLURM_STEP_NUM_TASKS";

    /// <summary>The launcher of this process; null where there is none.</summary>
    public static MpiLauncher? Here() => Of(Environment.GetEnvironmentVariable);

    /// <summary>The launcher that an environment tells of.</summary>
    /// <param name="variable">Value of a variable; null where it is not set.</param>
    public static MpiLauncher? Of(Func<string, string?> variable)
    {
        if (Number(OpenSize) is { } open) return new MpiLauncher(MpiKind.OpenMpi, open, Number(OpenLocal) ?? 1);
        if (Number(PmiSize) is { } pmi) return new MpiLauncher(MpiKind.Mpich, pmi, Number(PmiLocal) ?? 1);
        return variable(PmixRank) is not null && Number(SlurmSize) is { } slurm ? new MpiLauncher(MpiKind.OpenMpi, slurm, 1) : null;

        int? Number(string name) =>
            int.TryParse(variable(name), NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value > 0 ? value : null;
    }
}

/// <summary>The two families of MPI, which differ in how handles are passed.</summary>
internal enum MpiKind
{
    /// <summary>Open MPI: handles are addresses of exported objects.</summary>
    OpenMpi,

    /// <summary>MPICH and what has its binary interface, as Intel MPI and MVAPICH: handles are integers.</summary>
    Mpich,
}
