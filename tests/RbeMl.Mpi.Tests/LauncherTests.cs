namespace RbeMl.Mpi.Tests;

/// <summary>What started a process, by its environment; what is refused without MPI.</summary>
public sealed class LauncherTests
{
    [Theory]
    [InlineData("", null, 0, 0)]
    [InlineData("OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_SIZE=2", "OpenMpi", 4, 2)]
    [InlineData("PMI_SIZE=3 MPI_LOCALNRANKS=3", "Mpich", 3, 3)]
    [InlineData("PMI_SIZE=8", "Mpich", 8, 1)]
    [InlineData("PMIX_RANK=1 SLURM_STEP_NUM_TASKS=6", "OpenMpi", 6, 1)]
    [InlineData("SLURM_STEP_NUM_TASKS=6", null, 0, 0)]
    [InlineData("OMPI_COMM_WORLD_SIZE=four", null, 0, 0)]
    [InlineData("OMPI_COMM_WORLD_SIZE=0", null, 0, 0)]
    [InlineData("OMPI_COMM_WORLD_SIZE=2 PMI_SIZE=5", "OpenMpi", 2, 1)]
    public void The_launcher_is_told_by_the_environment(string variables, string? kind, int size, int local)
    {
        Dictionary<string, string> all = variables.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('='))
            .ToDictionary(pair => pair[0], pair => pair[1]);
        MpiLauncher? launcher = MpiLauncher.Of(name => all.GetValueOrDefault(name));
        Assert.Equal(kind, launcher?.Kind.ToString());
        Assert.Equal((size, local), (launcher?.Size ?? 0, launcher?.LocalSize ?? 0));
    }

    [Theory]
    [InlineData("0-3", 4)]
    [InlineData("0", 1)]
    [InlineData("0-3,8,10-11\n", 7)]
    [InlineData("", 0)]
    [InlineData("all", 0)]
    public void Processors_are_counted_in_a_list(string list, int count) => Assert.Equal(count, MpiBinding.Count(list));

    [Fact]
    public void Without_a_launcher_there_is_nobody_to_join()
    {
        Assert.False(MpiCollective.IsLaunched);
        DistributedException error = Assert.Throws<DistributedException>(MpiCollective.Join);
        Assert.StartsWith("no launcher of MPI is seen. Start the program with one, such as mpirun", error.Message, StringComparison.Ordinal);
        Assert.Null(error.Rank);
    }

    [Theory]
    [InlineData("OpenMpi", "openmpi-bin")]
    [InlineData("Mpich", "mpich")]
    public void A_library_that_is_missing_is_named_with_the_package_that_has_it(string kind, string package)
    {
        DistributedException error = Assert.Throws<DistributedException>(() => MpiLibrary.Load(Enum.Parse<MpiKind>(kind), "libnone-of-these.so"));
        Assert.Contains("none of libnone-of-these.so can be loaded", error.Message, StringComparison.Ordinal);
        Assert.Contains($"apt-get install -y {package}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_library_that_is_no_MPI_is_refused()
    {
        if (!OperatingSystem.IsLinux()) return;
        DistributedException error = Assert.Throws<DistributedException>(() => MpiLibrary.Load(MpiKind.OpenMpi, "libc.so.6"));
        Assert.Equal("libc.so.6 has no MPI_Init_thread, expected the library of an MPI. Set RBEML_MPI to that of your mpirun.", error.Message);
    }
}
