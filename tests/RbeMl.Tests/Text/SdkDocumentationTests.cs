using RbeMl.Tests.Files;
using RbeMl.Text;

namespace RbeMl.Tests.Text;

public sealed class SdkDocumentationTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private void Pack(string version, string members)
    {
        string folder = _folder.File($"packs/Microsoft.NETCore.App.Ref/{version}/ref/net10.0");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "A.xml"), $"<?xml version=\"1.0\"?><doc><members>{members}</members></doc>");
    }

    [Fact]
    public void Sentences_are_plain_english_with_short_names_for_references()
    {
        Pack("10.0.1", """
            <member name="M:A.B"><summary>Reads the
              next   byte from <see cref="T:System.IO.Stream" /> into <paramref name="buffer" />.
              It never returns a <see langword="null" /> value of <c>x</c> here.</summary>
            <param name="buffer">The buffer that takes what <see cref="M:System.IO.Stream.Read(System.Byte[])" /> returns.</param>
            <example>Not taken as this is an example only.</example>
            <returns>too short.</returns><remarks>Symbols like {0} and a_b + c are left out of it.</remarks></member>
            """ + Many(20));
        SplitText text = Load();
        Assert.Equal(
            ["It never returns a null value of x here.", "Reads the next byte from Stream into buffer.", "The buffer that takes what Read returns."],
            (text.Train + text.Validation).Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Where(sentence => !sentence.StartsWith("This is sentence", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void No_sentence_is_in_both_parts_and_none_twice()
    {
        Pack("10.0.1", Many(400) + Many(400));
        SplitText text = Load();
        string[] train = text.Train.Split('\n', StringSplitOptions.RemoveEmptyEntries),
            validation = text.Validation.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(400, train.Length + validation.Length);
        Assert.Equal(400, train.Union(validation).Count());
        Assert.InRange(validation.Length, 80, 320); // binomial(400, 1/2): far within 12 standard deviations of 10
    }

    [Fact]
    public void The_seed_fixes_the_text_and_the_limit_its_size()
    {
        Pack("10.0.1", Many(400));
        Assert.Equal(Load(), Load());
        SplitText other = SdkDocumentation.Load(1_000_000, 0.5, seed: 2, root: _folder.Path);
        Assert.NotEqual(Load().Train, other.Train);
        SplitText small = SdkDocumentation.Load(5000, 0.5, root: _folder.Path);
        Assert.InRange(small.Train.Length + small.Validation.Length, 4900, 5000);
        Assert.StartsWith(small.Train, Load().Train);
    }

    [Fact]
    public void The_newest_version_is_taken()
    {
        Pack("9.0.12", "<member><summary>This sentence is of the old version only.</summary></member>" + Many(20));
        Pack("10.0.2", Many(20));
        Assert.DoesNotContain("old version", Load().Train + Load().Validation);
    }

    [Fact]
    public void No_pack_is_a_typed_error_that_names_what_was_looked_for_and_the_mend()
    {
        RbeFileException error = Assert.Throws<RbeFileException>(() => Load());
        Assert.Contains(Path.Combine("packs", "Microsoft.NETCore.App.Ref"), error.Message);
        Assert.Contains("--text", error.Message);
    }

    [Fact]
    public void Broken_xml_and_an_empty_pack_are_typed_errors()
    {
        Pack("10.0.1", "<member>");
        Assert.Contains("well-formed", Assert.Throws<RbeFileException>(() => Load()).Message);
        Pack("10.0.1", "");
        Assert.Contains("too few sentences", Assert.Throws<RbeFileException>(() => Load()).Message);
        Assert.Throws<InvalidSettingException>(() => SdkDocumentation.Load(0, root: _folder.Path));
        Assert.Throws<InvalidSettingException>(() => SdkDocumentation.Load(10, 1, root: _folder.Path));
    }

    [Fact]
    public void This_machines_sdk_gives_english()
    {
        SplitText text = SdkDocumentation.Load(200_000);
        Assert.InRange(text.Train.Length + text.Validation.Length, 199_000, 200_000);
        Assert.InRange(text.Validation.Length, 4_000, 20_000);
        Assert.Contains(" the ", text.Train);
        Assert.DoesNotContain('<', text.Train);
    }

    private static string Many(int count) =>
        string.Concat(Enumerable.Range(0, count).Select(i => $"<member><summary>This is sentence number {i} of all the sentences.</summary></member>"));

    private SplitText Load() => SdkDocumentation.Load(1_000_000, 0.5, root: _folder.Path);
}
