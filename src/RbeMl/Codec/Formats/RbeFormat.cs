using System.Collections.Immutable;
using System.Text.Json.Nodes;
using RbeMl.Storage;

namespace RbeMl.Codec;

/// <summary>
/// How the residual of every tile of a matrix is stored. A format is a record of this kind, which says everything about itself, and a place in
/// the list of formats; what is frozen derives from <see cref="FrozenFormat"/>.
/// </summary>
public abstract record RbeFormat
{
    private static ImmutableArray<RbeFormat> s_all = [Sparse(300), Quantized(6), Trellis(6), Seed(300)];

    private protected RbeFormat()
    {
    }

    /// <summary>Every format, one of each with ordinary options: what files may hold, the command line names, and a choice is made of.</summary>
    internal static ImmutableArray<RbeFormat> All => s_all;

    /// <summary>Its name in files and its word on the command line.</summary>
    internal abstract string Name { get; }

    /// <summary>What it is good for, a few words for the command line's help; null where the command line does not offer it.</summary>
    internal virtual string? Use => null;

    /// <summary>Its trainable coefficients at chosen places, or null where it has none.</summary>
    internal virtual SparseFormat? Places => null;

    /// <summary>K of B² coefficients at chosen places: trainable, fastest.</summary>
    /// <param name="coefficients">K, 1 .. B². With runs it is rounded to the nearest multiple of the run length. B² keeps everything (and
    /// needs no alphas). With alphas the six places of a DCT tile that are alphas under another name
    /// (<see cref="SupportSelector.BasisPlaces"/>) and the runs that cover one cannot be kept.</param>
    /// <param name="support">The places; <c>Runs(16)</c> when null.</param>
    public static SparseFormat Sparse(int coefficients, SupportRule? support = null) => new(coefficients, support ?? SupportRule.Runs(16));

    /// <summary>All coefficients at <paramref name="bits"/> = 2 .. 8 bits in groups of 64.</summary>
    public static QuantizedFormat Quantized(int bits) => new(bits);

    /// <summary>
    /// All coefficients trellis-coded at <paramref name="bits"/> = 2 .. 6 bits, the largest few exactly; 8 for <see cref="Quantized"/>(8)
    /// with these exact few.
    /// </summary>
    public static TrellisFormat Trellis(int bits) => new(bits);

    /// <summary>The literal record of 8 fp32 alphas and K (u16, u16, f32) coefficients.</summary>
    public static SeedFormat Seed(int coefficients) => new(coefficients);

    /// <summary>Adds a format to the list; one whose name is there already is left.</summary>
    internal static void Register(RbeFormat format) => ImmutableInterlocked.Update(
        ref s_all, static (all, added) => all.Any(known => known.Name == added.Name) ? all : all.Add(added), format);

    /// <summary>Reads the format of a matrix.</summary>
    /// <exception cref="RbeFileException">It is unknown, or an option is missing or out of range.</exception>
    internal static RbeFormat Read(JsonFields fields)
    {
        string name = fields.Text("kind");
        return All.FirstOrDefault(format => format.Name == name) is { } known ? known.ReadOptions(fields)
            : throw fields.Unknown("kind", name, string.Join(", ", All.Select(format => format.Name)));
    }

    /// <summary>What a file says of it.</summary>
    internal JsonObject Describe()
    {
        JsonObject entry = new() { ["kind"] = Name };
        DescribeOptions(entry);
        return entry;
    }

    /// <summary>What checked options come to for every tile.</summary>
    /// <param name="options">Options of this format, whose tile and transform are sound.</param>
    /// <exception cref="InvalidSettingException">A setting is out of range or contradicts another.</exception>
    internal abstract FormatPlan Plan(RbeOptions options);

    /// <summary>Ways to store a matrix that a measured choice should try, alphas left as they suit each.</summary>
    /// <param name="tile">B.</param>
    internal virtual IEnumerable<RbeOptions> Candidates(int tile) => [];

    /// <summary>Stored bits of so many tiles where they are not the sum of their parts; null otherwise.</summary>
    internal virtual long? BitsOf(int tileCount) => null;

    /// <summary>What its numbers reach, after "weights are beyond what", with what to do.</summary>
    internal virtual string DescribeRange() => "fp32 coefficients keep. Scale the matrix, or leave it out by name.";

    /// <summary>Adds its options to what a file says of it.</summary>
    private protected abstract void DescribeOptions(JsonObject entry);

    /// <summary>A format of this kind with the options of a file.</summary>
    private protected abstract RbeFormat ReadOptions(JsonFields fields);
}
