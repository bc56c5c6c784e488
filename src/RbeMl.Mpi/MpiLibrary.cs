using System.Runtime.InteropServices;
using System.Text;

namespace RbeMl.Mpi;

/// <summary>
/// The functions of an MPI library and the handles that they take. A handle is the address of an exported object in Open MPI and an integer
/// in MPICH; both fit a register, so that one signature serves both.
/// </summary>
internal sealed unsafe class MpiLibrary
{
    /// <summary>Names the library to load, in place of those that are looked for.</summary>
    public const string Variable = "RBEML_MPI";

    private const string OpenWorld = "ompi_mpi_comm_world", OpenByte = "ompi_mpi_byte", OpenFloat = "ompi_mpi_float", OpenSum = "ompi_mpi_op_sum";
    private const nint MpichWorld = 0x44000000, MpichByte = 0x4c00010d, MpichFloat = 0x4c00040a, MpichSum = 0x58000003, OpenInPlace = 1, MpichInPlace = -1;
    private const int MostText = 8192; // more than any library's MPI_MAX_LIBRARY_VERSION_STRING

    private readonly delegate* unmanaged[Cdecl]<int*, byte***, int, int*, int> _init;
    private readonly delegate* unmanaged[Cdecl]<int> _finalize;
    private readonly delegate* unmanaged[Cdecl]<nint, int*, int> _rank, _size;
    private readonly delegate* unmanaged[Cdecl]<byte*, int*, int> _version;
    private readonly delegate* unmanaged[Cdecl]<nint, int, int> _abort;
    private readonly delegate* unmanaged[Cdecl]<void*, int*, int*, nint, void*, int*, int*, nint, nint, int> _allToAll;
    private readonly delegate* unmanaged[Cdecl]<void*, int, nint, void*, int*, int*, nint, nint, int> _allGather;
    private readonly delegate* unmanaged[Cdecl]<void*, void*, int, nint, nint, nint, int> _allReduce;
    private readonly nint _world, _byte, _float, _sum, _inPlace;

    private MpiLibrary(nint library, string name)
    {
        Name = name;
        bool open = NativeLibrary.TryGetExport(library, OpenWorld, out nint world);
        (_world, _byte, _inPlace) = open ? (world, Address(OpenByte), OpenInPlace) : (MpichWorld, MpichByte, MpichInPlace);
        (_float, _sum) = open ? (Address(OpenFloat), Address(OpenSum)) : (MpichFloat, MpichSum);
        _init = (delegate* unmanaged[Cdecl]<int*, byte***, int, int*, int>)Address("MPI_Init_thread");
        _finalize = (delegate* unmanaged[Cdecl]<int>)Address("MPI_Finalize");
        _rank = (delegate* unmanaged[Cdecl]<nint, int*, int>)Address("MPI_Comm_rank");
        _size = (delegate* unmanaged[Cdecl]<nint, int*, int>)Address("MPI_Comm_size");
        _version = (delegate* unmanaged[Cdecl]<byte*, int*, int>)Address("MPI_Get_library_version");
        _abort = (delegate* unmanaged[Cdecl]<nint, int, int>)Address("MPI_Abort");
        _allToAll = (delegate* unmanaged[Cdecl]<void*, int*, int*, nint, void*, int*, int*, nint, nint, int>)Address("MPI_Alltoallv");
        _allGather = (delegate* unmanaged[Cdecl]<void*, int, nint, void*, int*, int*, nint, nint, int>)Address("MPI_Allgatherv");
        _allReduce = (delegate* unmanaged[Cdecl]<void*, void*, int, nint, nint, nint, int>)Address("MPI_Allreduce");

        nint Address(string function) => NativeLibrary.TryGetExport(library, function, out nint address) ? address
            : throw new DistributedException(null, $"{name} has no {function}, expected the library of an MPI. Set {Variable} to that of your mpirun.");
    }

    /// <summary>File that was loaded.</summary>
    public string Name { get; }

    /// <summary>Loads the library that belongs to a launcher.</summary>
    /// <param name="kind">The launcher's.</param>
    /// <param name="named">The library that <see cref="Variable"/> names; null to look for one.</param>
    /// <exception cref="DistributedException">There is none, or it is no MPI.</exception>
    public static MpiLibrary Load(MpiKind kind, string? named)
    {
        string[] names = named is { Length: > 0 } ? [named] : NamesOf(kind);
        foreach (string name in names)
        {
            if (NativeLibrary.TryLoad(name, out nint library)) return new MpiLibrary(library, name);
        }

        string package = kind == MpiKind.OpenMpi ? "openmpi-bin" : "mpich";
        throw new DistributedException(null, $"this process was started as one of several by {Launcher(kind)}, and none of {string.Join(", ", names)} can be "
            + $"loaded. Install the MPI of that launcher (Debian, Ubuntu: apt-get install -y {package}), set {Variable} to its library, or start one process "
            + "without it.");
    }

    /// <summary>What the launcher of a kind is called.</summary>
    public static string Launcher(MpiKind kind) => kind == MpiKind.OpenMpi ? "Open MPI's mpirun" : "MPICH's mpirun";

    /// <summary>MPI_Init_thread.</summary>
    /// <param name="level">What is asked for: 2 for calls of any thread, one at a time.</param>
    /// <returns>What is given.</returns>
    public int Initialize(int level)
    {
        int given;
        Check(_init(null, null, level, &given), "MPI_Init_thread");
        return given;
    }

    /// <summary>MPI_Finalize, which waits for all ranks.</summary>
    public void Finish() => Check(_finalize(), "MPI_Finalize");

    /// <summary>This rank, and how many there are.</summary>
    public (int Rank, int Size) Place()
    {
        int rank, size;
        Check(_rank(_world, &rank), "MPI_Comm_rank");
        Check(_size(_world, &size), "MPI_Comm_size");
        return (rank, size);
    }

    /// <summary>The first words of MPI_Get_library_version, such as <c>Open MPI v4.1.4</c>.</summary>
    public string Version()
    {
        byte* text = stackalloc byte[MostText];
        int length;
        Check(_version(text, &length), "MPI_Get_library_version");
        string line = Encoding.UTF8.GetString(text, Math.Clamp(length, 0, MostText)).Split('\n', ',')[0];
        return string.Join(' ', line.Split((char[])[' ', '\t', '\0', ':'], StringSplitOptions.RemoveEmptyEntries)).Replace("MPICH Version", "MPICH");
    }

    /// <summary>MPI_Abort.</summary>
    public void Abort(int code) => _abort(_world, code);

    /// <summary>MPI_Alltoallv of bytes.</summary>
    public void AllToAll(byte* send, int* sendCounts, int* sendPlaces, byte* receive, int* receiveCounts, int* receivePlaces) =>
        Check(_allToAll(send, sendCounts, sendPlaces, _byte, receive, receiveCounts, receivePlaces, _byte, _world), "MPI_Alltoallv");

    /// <summary>MPI_Allgatherv of bytes, in place.</summary>
    public void AllGather(byte* all, int* counts, int* places) =>
        Check(_allGather((void*)_inPlace, 0, _byte, all, counts, places, _byte, _world), "MPI_Allgatherv");

    /// <summary>MPI_Allreduce of floats, in place, their sum.</summary>
    public void AllReduceSum(float* values, int count) =>
        Check(_allReduce((void*)_inPlace, values, count, _float, _sum, _world), "MPI_Allreduce");

    private static string[] NamesOf(MpiKind kind) => kind == MpiKind.OpenMpi ? ["libmpi.so.40", "libmpi.40.dylib"]
        : ["libmpich.so.12", "libmpi.so.12", "libmpi.12.dylib"];

    private void Check(int code, string function)
    {
        if (code == 0) return;
        throw new DistributedException(null, FormattableString.Invariant($"{function} of {Name} failed with code {code}. The job cannot go on."));
    }
}
